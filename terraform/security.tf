# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=7bf5f770ff492b7efc3f7c57296af7e1b9bae03401f3a09a30e5bc90f0987fe2

resource "aws_security_group" "client" {
  name        = "kgen-demo-client"
  description = "Client instance: no way in, Session Manager goes out"
  vpc_id      = aws_vpc.main.id

  tags = {
    Name = "kgen-demo-client"
  }
}

resource "aws_security_group" "broker" {
  name        = "kgen-demo-broker"
  description = "MSK brokers: only the client gets in"
  vpc_id      = aws_vpc.main.id

  tags = {
    Name = "kgen-demo-broker"
  }
}

# 9092 plaintext, 9094 TLS, 11001 JMX exporter, 11002 node exporter.
resource "aws_vpc_security_group_ingress_rule" "broker_from_client" {
  for_each = {
    plaintext = {
      from = 9092
      to   = 9092
    }
    tls = {
      from = 9094
      to   = 9094
    }
    monitoring = {
      from = 11001
      to   = 11002
    }
  }

  security_group_id            = aws_security_group.broker.id
  referenced_security_group_id = aws_security_group.client.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

resource "aws_vpc_security_group_egress_rule" "client_to_broker" {
  for_each = {
    plaintext = {
      from = 9092
      to   = 9092
    }
    tls = {
      from = 9094
      to   = 9094
    }
    monitoring = {
      from = 11001
      to   = 11002
    }
  }

  security_group_id            = aws_security_group.client.id
  referenced_security_group_id = aws_security_group.broker.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

# Session Manager, packages, the APIs of AWS.
resource "aws_vpc_security_group_egress_rule" "client_to_https" {
  security_group_id = aws_security_group.client.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Brokers need no way out of the VPC.
resource "aws_vpc_security_group_egress_rule" "broker_to_vpc" {
  security_group_id = aws_security_group.broker.id
  cidr_ipv4         = aws_vpc.main.cidr_block
  ip_protocol       = "-1"
}
