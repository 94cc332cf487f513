# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=71ed5c94aba13d1d4157e6fd950059357a351c43405bf7b25afe83086b5c2b7b

data "aws_ssm_parameter" "amazon_linux" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

resource "aws_network_interface" "client" {
  subnet_id       = aws_subnet.broker["us-west-2a"].id
  security_groups = [aws_security_group.client.id]

  tags = {
    Name = "kgen-demo-client"
  }
}

resource "aws_eip" "client" {
  domain            = "vpc"
  network_interface = aws_network_interface.client.id
  depends_on        = [aws_internet_gateway.main]

  tags = {
    Name = "kgen-demo-client"
  }
}

# Reached through Session Manager alone. A newer image does not replace it: a plan holds what was asked for.
resource "aws_instance" "client" {
  ami                         = data.aws_ssm_parameter.amazon_linux.insecure_value
  instance_type               = "t3.small"
  iam_instance_profile        = aws_iam_instance_profile.client.name
  user_data                   = file("${path.module}/user_data.sh")
  user_data_replace_on_change = true

  depends_on = [
    aws_route.internet,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.client_to_https,
    aws_eip.client,
  ]

  tags = {
    Name = "kgen-demo-client"
  }

  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.client.id
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
