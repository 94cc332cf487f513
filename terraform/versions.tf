# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=2d98904d4b68928931d0da981528550f68d40a29e873f986ada5a63c4ecc95b6

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 6.0"
    }
  }
}

provider "aws" {
  region = "us-west-2"

  default_tags {
    tags = {
      Project   = "kgen-demo"
      ManagedBy = "kgen"
    }
  }
}
