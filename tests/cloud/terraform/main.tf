# A small world as people write it: network, rules in all three styles, an instance from a snapshot, an address.
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
variable "endpoint" { type = string }

provider "aws" {
  region = "us-east-1"
  endpoints {
    ec2 = var.endpoint
    sts = var.endpoint
    iam = var.endpoint
  }
}
data "aws_caller_identity" "me" {}
data "aws_availability_zones" "zones" { state = "available" }
data "aws_vpc" "default" { default = true }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_subnet" "one" { id = data.aws_subnets.default.ids[0] }
data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}
data "aws_route_table" "main" {
  vpc_id = data.aws_vpc.default.id
  filter {
    name   = "association.main"
    values = ["true"]
  }
}
data "aws_internet_gateway" "default" {
  filter {
    name   = "attachment.vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
resource "aws_vpc" "lab" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = false
  tags                 = { Name = "lab" }
}
resource "aws_subnet" "a" {
  vpc_id                  = aws_vpc.lab.id
  cidr_block              = "10.20.1.0/24"
  availability_zone       = data.aws_availability_zones.zones.names[0]
  map_public_ip_on_launch = false
  tags                    = { Name = "a" }
}
resource "aws_internet_gateway" "door" {
  vpc_id = aws_vpc.lab.id
  tags   = { Name = "door" }
}
resource "aws_route_table" "public" {
  vpc_id = aws_vpc.lab.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.door.id
  }
}
resource "aws_route_table_association" "a" {
  subnet_id      = aws_subnet.a.id
  route_table_id = aws_route_table.public.id
}
resource "aws_security_group" "web" {
  name        = "web"
  description = "web"
  vpc_id      = aws_vpc.lab.id
  ingress {
    from_port        = 2222
    to_port          = 2222
    protocol         = "tcp"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
    description      = "ssh"
  }
  ingress {
    from_port = 0
    to_port   = 0
    protocol  = "-1"
    self      = true
  }
  ingress {
    from_port   = 8
    to_port     = -1
    protocol    = "icmp"
    cidr_blocks = ["10.0.0.0/8"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
  tags = { Name = "web" }
}
resource "aws_security_group" "db" {
  name_prefix = "db-"
  vpc_id      = aws_vpc.lab.id
}
resource "aws_vpc_security_group_ingress_rule" "db" {
  security_group_id            = aws_security_group.db.id
  referenced_security_group_id = aws_security_group.web.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = { why = "db" }
}
resource "aws_vpc_security_group_egress_rule" "db" {
  security_group_id = aws_security_group.db.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
resource "aws_security_group_rule" "old" {
  type              = "ingress"
  security_group_id = aws_security_group.db.id
  protocol          = "udp"
  from_port         = 53
  to_port           = 53
  cidr_blocks       = ["10.0.0.0/8", "192.168.0.0/16"]
}
resource "aws_default_security_group" "default" {
  vpc_id = aws_vpc.lab.id
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_vpc_dhcp_options" "lab" {
  domain_name         = "lab.example"
  domain_name_servers = ["AmazonProvidedDNS"]
  ntp_servers         = ["192.0.2.3"]
}
resource "aws_vpc_dhcp_options_association" "lab" {
  vpc_id          = aws_vpc.lab.id
  dhcp_options_id = aws_vpc_dhcp_options.lab.id
}
resource "aws_network_interface" "spare" {
  subnet_id       = aws_subnet.a.id
  private_ips     = ["10.20.1.50", "10.20.1.51"]
  security_groups = [aws_security_group.web.id]
  description     = "reserve"
  tags            = { Name = "spare" }
}
resource "aws_key_pair" "key" {
  key_name   = "tf"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqXkqJfVZ5h3m6m3cF3y9mYfE8d1i0nJk1m0ZrVwLkB tf"
}
resource "aws_ebs_volume" "root" {
  availability_zone = data.aws_availability_zones.zones.names[0]
  size              = 1
}
resource "aws_ebs_snapshot" "root" { volume_id = aws_ebs_volume.root.id }
resource "aws_ami" "image" {
  name                = "tf-image"
  virtualization_type = "hvm"
  root_device_name    = "/dev/sda1"
  ebs_block_device {
    device_name = "/dev/sda1"
    snapshot_id = aws_ebs_snapshot.root.id
  }
}
resource "aws_instance" "web" {
  ami                    = aws_ami.image.id
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.a.id
  vpc_security_group_ids = [aws_security_group.web.id]
  key_name               = aws_key_pair.key.key_name
  user_data              = "#!/bin/sh\ntrue\n"
  tags                   = { Name = "web" }
}
resource "aws_eip" "front" {
  domain     = "vpc"
  instance   = aws_instance.web.id
  depends_on = [aws_internet_gateway.door]
  tags       = { Name = "front" }
}
output "ip" { value = aws_eip.front.public_ip }
