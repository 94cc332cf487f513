# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=8cbc3e40ea4fcc284408fa5ef341e4ad81bc98965e91eb089dc7e10bd402cb23

resource "aws_vpc" "main" {
  cidr_block = "10.0.0.0/16"

  tags = {
    Name = "kgen-demo"
  }
}

# One subnet per zone: MSK places the same number of brokers in each.
resource "aws_subnet" "broker" {
  for_each = {
    us-west-2a = "10.0.1.0/24"
    us-west-2b = "10.0.2.0/24"
    us-west-2c = "10.0.3.0/24"
  }

  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = each.value

  tags = {
    Name = "kgen-demo-${each.key}"
  }
}

# The client reaches Session Manager and its packages through here.
resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id

  tags = {
    Name = "kgen-demo"
  }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id

  tags = {
    Name = "kgen-demo-public"
  }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.broker
  route_table_id = aws_route_table.public.id
  subnet_id      = aws_subnet.broker[each.key].id
}
