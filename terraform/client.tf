# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=7fb12540cf55dde8992763e5d545e869fd92463bd40e59a9d02cd0e2d0077411

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
  user_data                   = file("${path.module}/user_data.sh")
  user_data_replace_on_change = true

  depends_on = [
    aws_route.internet,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.client_to_https,
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
