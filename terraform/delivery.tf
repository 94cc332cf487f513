# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=b82230338a3f491e180a619b22915b2e3fb8905fed1dc587909ff47c2ccbc25b

# Set by `kgen plan` and `kgen apply` in kgen.auto.tfvars.json, which belongs to this machine.
variable "kgen_sha256" {
  type        = string
  default     = ""
  description = "SHA-256 of the client's kgen in .kgen/client; empty: it gets none"

  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.kgen_sha256))
    error_message = "kgen_sha256 is neither empty nor 64 hexadecimal digits."
  }
}

resource "aws_s3_bucket" "client" {
  count         = var.kgen_sha256 == "" ? 0 : 1
  bucket_prefix = "kgen-demo-client-"
  force_destroy = true

  tags = {
    Name = "kgen-demo-client"
  }
}

resource "aws_s3_bucket_public_access_block" "client" {
  count                   = var.kgen_sha256 == "" ? 0 : 1
  bucket                  = aws_s3_bucket.client[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "client" {
  count  = var.kgen_sha256 == "" ? 0 : 1
  bucket = aws_s3_bucket.client[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "client" {
  count  = var.kgen_sha256 == "" ? 0 : 1
  bucket = aws_s3_bucket.client[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

# The client's script checks the same sum again.
resource "aws_s3_object" "kgen" {
  count       = var.kgen_sha256 == "" ? 0 : 1
  bucket      = aws_s3_bucket.client[0].bucket
  key         = "kgen/${var.kgen_sha256}"
  source      = "${path.module}/../.kgen/client/${var.kgen_sha256}"
  source_hash = var.kgen_sha256
}
