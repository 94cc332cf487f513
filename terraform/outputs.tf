# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=38cec302559611a7965cd043b3b28d272beebe662ef537957a754ea1428ff9cb

output "client_instance_id" {
  description = "EC2 instance to send load from"
  value       = aws_instance.client.id
}

output "msk_cluster_arn" {
  description = "ARN of the MSK cluster"
  value       = aws_msk_cluster.main.arn
}

output "msk_cluster_name" {
  description = "Name of the MSK cluster, as in the dimension Cluster Name"
  value       = aws_msk_cluster.main.cluster_name
}

output "bootstrap_brokers" {
  description = "Brokers without encryption, host:port, separated by commas"
  value       = aws_msk_cluster.main.bootstrap_brokers
}

output "bootstrap_brokers_tls" {
  description = "Brokers with TLS, host:port, separated by commas"
  value       = aws_msk_cluster.main.bootstrap_brokers_tls
}

output "vpc_id" {
  description = "VPC of brokers and client"
  value       = aws_vpc.main.id
}

output "cloudwatch_log_group" {
  description = "Log group of the brokers"
  value       = aws_cloudwatch_log_group.broker.name
}

output "region" {
  description = "AWS region of the stack"
  value       = "us-west-2"
}

output "ssm_session_command" {
  description = "Opens a shell on the client"
  value       = "aws ssm start-session --region us-west-2 --target ${aws_instance.client.id}"
}

output "topic_create_command" {
  description = "Creates the topic; run it on the client"
  value       = "/opt/kafka/bin/kafka-topics.sh --bootstrap-server ${aws_msk_cluster.main.bootstrap_brokers} --create --if-not-exists --topic stress-demo --partitions 6 --replication-factor 2"
}

output "load_command" {
  description = "Sends the load; run it on the client"
  value       = "/home/ec2-user/scripts/hotspot_producer.py --bootstrap-servers ${aws_msk_cluster.main.bootstrap_brokers} --topic stress-demo --rate 500 --duration 600"
}
