# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=fe3f455a09916e97c3ee21f47c1cf3acaf1a3838a40500b8be323eeb6d68aaae

resource "aws_iam_role" "client" {
  name = "kgen-demo-client"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = "sts:AssumeRole"
        Principal = {
          Service = "ec2.amazonaws.com"
        }
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  role       = aws_iam_role.client.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

# Read-only: the client sends load and watches. It cannot change the cluster.
resource "aws_iam_role_policy" "msk" {
  name = "msk-read"
  role = aws_iam_role.client.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = [
          "kafka:DescribeCluster",
          "kafka:DescribeClusterV2",
          "kafka:GetBootstrapBrokers",
          "kafka:ListClusterOperations",
          "kafka:ListNodes",
        ]
        Resource = aws_msk_cluster.main.arn
      },
      {
        Effect   = "Allow"
        Action   = ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "kafka:ListClusters", "kafka:ListClustersV2"]
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_instance_profile" "client" {
  name = "kgen-demo-client"
  role = aws_iam_role.client.name
}
