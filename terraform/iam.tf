# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=5f4ee5edba370e7e51ba81fd3f204d4f3dd3851dd32345c966a447505ac60929

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

# The kgen that the client gets.
resource "aws_iam_role_policy" "kgen" {
  count = var.kgen_sha256 == "" ? 0 : 1
  name  = "kgen"
  role  = aws_iam_role.client.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = aws_s3_object.kgen[0].arn
      },
    ]
  })
}

resource "aws_iam_instance_profile" "client" {
  name = "kgen-demo-client"
  role = aws_iam_role.client.name
}
