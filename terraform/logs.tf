# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=0de31f5ceb5f97c638663371788b9ec8b4ca7427fbca617a186a45c79525d80e

resource "aws_cloudwatch_log_group" "broker" {
  name              = "/aws/msk/kgen-demo"
  retention_in_days = 7
}
