output "networks" {
  description = "Of each region: the network's id, the subnets' ids, and the ranges that load balancers have their addresses from."
  value = {
    for region, vpc in aws_vpc.this : region => {
      vpc_id        = vpc.id
      public        = [for key, subnet in local.subnets : aws_subnet.public[key].id if subnet.region == region]
      private       = [for key, subnet in local.subnets : aws_subnet.private[key].id if subnet.region == region]
      stores        = [for key, subnet in local.subnets : aws_subnet.stores[key].id if subnet.region == region]
      public_ranges = [for subnet in values(local.subnets) : subnet.public if subnet.region == region]
    }
  }
  depends_on = [aws_route.private, aws_route_table_association.private, aws_route_table_association.public]
}
