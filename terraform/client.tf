# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=7c0306497db1104069a994fa79949404a4d61b9f9ade6f026e34def828c6bd53

data "aws_ssm_parameter" "amazon_linux" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

# Only reachable through Session Manager. A newer image does not replace it, so that a plan only has requested changes.
resource "aws_instance" "client" {
  ami                         = data.aws_ssm_parameter.amazon_linux.insecure_value
  instance_type               = "t3.small"
  subnet_id                   = aws_subnet.broker["us-west-2a"].id
  vpc_security_group_ids      = [aws_security_group.client.id]
  iam_instance_profile        = aws_iam_instance_profile.client.name
  user_data                   = var.kgen_sha256 == "" ? file("${path.module}/user_data.sh") : replace(replace(file("${path.module}/user_data.sh"), "BUCKET-TO-COME", aws_s3_bucket.client[0].bucket), "SHA256-TO-COME", var.kgen_sha256)
  user_data_replace_on_change = true

  depends_on = [
    aws_route.internet,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.client_to_https,
    aws_s3_object.kgen,
  ]

  tags = {
    Name = "kgen-demo-client"
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 20
    encrypted   = true
  }

  lifecycle {
    ignore_changes = [ami]
  }
}

resource "aws_eip" "client" {
  domain     = "vpc"
  instance   = aws_instance.client.id
  depends_on = [aws_internet_gateway.main]

  tags = {
    Name = "kgen-demo-client"
  }
}
