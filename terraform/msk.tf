# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=2eaa2cac2f8d8d75441a23ce5bac98b636d51a41100c74455eb6925d40ae7909

# min.insync.replicas is one below the replicas of the topic, so that brokers can be restarted one by one.
resource "aws_msk_configuration" "main" {
  name              = "kgen-demo"
  server_properties = <<-EOT
    auto.create.topics.enable=false
    default.replication.factor=2
    log.retention.hours=24
    min.insync.replicas=1
    unclean.leader.election.enable=false
  EOT
}

resource "aws_msk_cluster" "main" {
  cluster_name           = "kgen-demo"
  kafka_version          = "3.9.x"
  number_of_broker_nodes = 3
  enhanced_monitoring    = "PER_BROKER"

  broker_node_group_info {
    instance_type   = "kafka.t3.small"
    client_subnets  = values(aws_subnet.broker)[*].id
    security_groups = [aws_security_group.broker.id]

    storage_info {
      ebs_storage_info {
        volume_size = 100
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.main.arn
    revision = aws_msk_configuration.main.latest_revision
  }

  encryption_info {
    encryption_in_transit {
      client_broker = "TLS_PLAINTEXT"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }

      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.broker.name
      }
    }
  }

  timeouts {
    create = "90m"
    update = "3h"
    delete = "90m"
  }
}
