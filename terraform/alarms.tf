# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=0bc3b6d3272c1cbe7285912f0febe034e35ec7c1795f3c1efa5d4e3b2beddc40

resource "aws_cloudwatch_metric_alarm" "cpu" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-cpu-broker-${each.key}"
  alarm_description   = "CPU user + system: above 60 % a broker has no headroom for the leaders of another that restarts"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 60
  evaluation_periods  = 2
  treat_missing_data  = "missing"

  metric_query {
    id          = "result"
    label       = "CPU user + system, percent"
    expression  = "user + system"
    return_data = true
  }

  metric_query {
    id = "user"

    metric {
      namespace   = "AWS/Kafka"
      metric_name = "CpuUser"
      stat        = "Average"
      period      = 60

      dimensions = {
        "Cluster Name" = aws_msk_cluster.main.cluster_name
        "Broker ID"    = each.key
      }
    }
  }

  metric_query {
    id = "system"

    metric {
      namespace   = "AWS/Kafka"
      metric_name = "CpuSystem"
      stat        = "Average"
      period      = 60

      dimensions = {
        "Cluster Name" = aws_msk_cluster.main.cluster_name
        "Broker ID"    = each.key
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "memory" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-memory-broker-${each.key}"
  alarm_description   = "Memory used, as a share of used + free: a sign, not a cause; read it with heap_after_gc"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 90
  evaluation_periods  = 2
  treat_missing_data  = "missing"

  metric_query {
    id          = "result"
    label       = "Memory used of used + free, percent"
    expression  = "100 * used / (used + free)"
    return_data = true
  }

  metric_query {
    id = "used"

    metric {
      namespace   = "AWS/Kafka"
      metric_name = "MemoryUsed"
      stat        = "Average"
      period      = 60

      dimensions = {
        "Cluster Name" = aws_msk_cluster.main.cluster_name
        "Broker ID"    = each.key
      }
    }
  }

  metric_query {
    id = "free"

    metric {
      namespace   = "AWS/Kafka"
      metric_name = "MemoryFree"
      stat        = "Average"
      period      = 60

      dimensions = {
        "Cluster Name" = aws_msk_cluster.main.cluster_name
        "Broker ID"    = each.key
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "heap_after_gc" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-heap-after-gc-broker-${each.key}"
  alarm_description   = "JVM heap in use after garbage collection: the memory that Kafka really needs"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 60
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  namespace           = "AWS/Kafka"
  metric_name         = "HeapMemoryAfterGC"
  statistic           = "Average"
  period              = 60

  dimensions = {
    "Cluster Name" = aws_msk_cluster.main.cluster_name
    "Broker ID"    = each.key
  }
}

resource "aws_cloudwatch_metric_alarm" "cpu_credits" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-cpu-credits-broker-${each.key}"
  alarm_description   = "CPU credits left (burstable types only; others send no data): at 0 the broker is limited to its baseline"
  comparison_operator = "LessThanThreshold"
  threshold           = 100
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  namespace           = "AWS/Kafka"
  metric_name         = "CPUCreditBalance"
  statistic           = "Minimum"
  period              = 300

  dimensions = {
    "Cluster Name" = aws_msk_cluster.main.cluster_name
    "Broker ID"    = each.key
  }
}

resource "aws_cloudwatch_metric_alarm" "under_replicated" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-under-replicated-broker-${each.key}"
  alarm_description   = "Partitions led by the broker with a replica out of sync; expected while brokers restart one by one"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  namespace           = "AWS/Kafka"
  metric_name         = "UnderReplicatedPartitions"
  statistic           = "Maximum"
  period              = 60

  dimensions = {
    "Cluster Name" = aws_msk_cluster.main.cluster_name
    "Broker ID"    = each.key
  }
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  for_each            = toset(["1", "2", "3"])
  alarm_name          = "kgen-demo-disk-broker-${each.key}"
  alarm_description   = "Disk used for data logs: act at 85 %"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 85
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  namespace           = "AWS/Kafka"
  metric_name         = "KafkaDataLogsDiskUsed"
  statistic           = "Maximum"
  period              = 60

  dimensions = {
    "Cluster Name" = aws_msk_cluster.main.cluster_name
    "Broker ID"    = each.key
  }
}
