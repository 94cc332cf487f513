//! `[network]`: a VPC of the stack's own, or one that is there.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Config, is_id, twice};
use crate::stack::error::Fault;

/// The VPC, a subnet in each zone, and how the client gets out of it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub vpc_cidr: Cidr,
    /// One a zone, in the order of the zones.
    pub subnet_cidrs: Vec<Cidr>,
    /// A VPC that is there, in place of one of the stack's own.
    pub vpc_id: Option<String>,
    /// Subnets of that VPC, one a zone in the order of the zones; without them the stack makes its own inside the VPC.
    pub subnet_ids: Vec<String>,
    /// Whether the client has a public address and its subnets a way to the internet.
    pub public: bool,
    /// VPC endpoints for the AWS services that the client asks, so that it needs no internet.
    pub endpoints: bool,
    /// Flow logs of the VPC, to CloudWatch Logs.
    pub flow_logs: bool,
    /// Takes every rule from the default security group of the VPC.
    pub close_default_security_group: bool,
    /// Whether each rule of a security group says what it is for. Emulators of AWS forget it when the rule is
    /// made, and the next plan shows a change.
    pub rule_descriptions: bool,
}

/// A block of IPv4 addresses, such as `10.0.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Default for Network {
    fn default() -> Network {
        let cidr = |second, prefix| Cidr { address: Ipv4Addr::new(10, 0, second, 0), prefix };
        Network {
            vpc_cidr: cidr(0, 16),
            subnet_cidrs: vec![cidr(1, 24), cidr(2, 24), cidr(3, 24)],
            vpc_id: None,
            subnet_ids: Vec::new(),
            public: true,
            endpoints: false,
            flow_logs: false,
            close_default_security_group: false,
            rule_descriptions: false,
        }
    }
}

impl Network {
    /// Whether the stack makes its subnets.
    pub fn own_subnets(&self) -> bool {
        self.subnet_ids.is_empty()
    }
}

impl Config {
    /// The first rule of region, zones and network that is broken.
    pub(super) fn place(&self) -> Option<Fault> {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_name(&self.region) || !self.region.ends_with(|c: char| c.is_ascii_digit()) {
            return Fault::some("region", format!("{:?} is not the name of a region, such as us-west-2", self.region));
        }
        if !(2..=3).contains(&self.zones.len()) {
            return Fault::some("zones", format!("MSK spreads brokers over 2 or 3 zones, not {}", self.zones.len()));
        }
        if let Some(zone) = self.zones.iter().find(|zone| !is_name(zone) || !zone.starts_with(&self.region)) {
            return Fault::some("zones", format!("{zone:?} is not a zone of {}", self.region));
        }
        if let Some(zone) = twice(&self.zones) {
            return Fault::some("zones", format!("{zone} is given twice"));
        }
        self.existing().or_else(|| self.ways_out()).or_else(|| self.addresses())
    }

    /// Rules of a VPC and of subnets that are there.
    fn existing(&self) -> Option<Fault> {
        let network = &self.network;
        match &network.vpc_id {
            Some(id) if !is_id(id, "vpc-") => {
                return Fault::some(
                    "network.vpc_id",
                    format!("{id:?} is not the id of a VPC, such as vpc-0123456789abcdef0"),
                );
            }
            None if !network.subnet_ids.is_empty() => {
                return Fault::some("network.subnet_ids", "also needs network.vpc_id");
            }
            _ => {}
        }
        if let Some(id) = network.subnet_ids.iter().find(|id| !is_id(id, "subnet-")) {
            return Fault::some(
                "network.subnet_ids",
                format!(
                    "{id:?} is not the id of a subnet, such as \
                                                              subnet-0a1b2c3d"
                ),
            );
        }
        if let Some(id) = twice(&network.subnet_ids) {
            return Fault::some("network.subnet_ids", format!("{id} is given twice"));
        }
        let (subnets, zones) = (network.subnet_ids.len(), self.zones.len());
        if subnets != 0 && subnets != zones {
            return Fault::some(
                "network.subnet_ids",
                format!("{subnets} subnets for {zones} zones: give one per zone"),
            );
        }
        // Whoever made the VPC answers for these.
        let not_ours = [
            ("network.flow_logs", network.flow_logs),
            ("network.close_default_security_group", network.close_default_security_group),
        ];
        let ours_to_leave = not_ours.into_iter().find(|(_, asked)| *asked && network.vpc_id.is_some());
        ours_to_leave.and_then(|(key, _)| {
            Fault::some(key, "is managed by the owner of the VPC in network.vpc_id; set it to false here")
        })
    }

    fn ways_out(&self) -> Option<Fault> {
        let network = &self.network;
        // Subnets that are there may have a NAT gateway or endpoints of their own; subnets made here have what is
        // requested.
        if !network.public && !network.endpoints && network.own_subnets() {
            return Fault::some(
                "network.public",
                "without a public address and without network.endpoints the client cannot be reached (set one of them \
                 to true)",
            );
        }
        // Route tables of subnets that are there are not this stack's, and the S3 endpoint is a route.
        if network.endpoints && !network.own_subnets() {
            return Fault::some(
                "network.endpoints",
                "are only created in subnets of the stack: others manage the routes of those in network.subnet_ids",
            );
        }
        None
    }

    fn addresses(&self) -> Option<Fault> {
        let Network { vpc_cidr, subnet_cidrs, vpc_id, .. } = &self.network;
        if !self.network.own_subnets() {
            return None;
        }
        if subnet_cidrs.len() != self.zones.len() {
            let (subnets, zones) = (subnet_cidrs.len(), self.zones.len());
            return Fault::some(
                "network.subnet_cidrs",
                format!("{subnets} subnets for {zones} zones: give one per zone"),
            );
        }
        let outside = subnet_cidrs.iter().find(|subnet| vpc_id.is_none() && !vpc_cidr.contains(subnet));
        if let Some(outside) = outside {
            return Fault::some("network.subnet_cidrs", format!("{outside} is not inside the VPC's {vpc_cidr}"));
        }
        let mut pairs =
            subnet_cidrs.iter().enumerate().flat_map(|(at, a)| subnet_cidrs[..at].iter().map(move |b| (a, b)));
        pairs
            .find(|(a, b)| a.overlaps(b))
            .and_then(|(a, b)| Fault::some("network.subnet_cidrs", format!("{a} and {b} overlap")))
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let example = || format!("{text:?} is not a block of IPv4 addresses, such as 10.0.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(example)?;
        let cidr =
            Cidr { address: address.parse().map_err(|_| example())?, prefix: prefix.parse().map_err(|_| example())? };
        if !(16..=28).contains(&cidr.prefix) {
            return Err(format!("{text} is not between /16 and /28, the sizes that a VPC and its subnets can have"));
        }
        let first = Ipv4Addr::from(cidr.first());
        if first != cidr.address {
            return Err(format!("{text} does not start at its first address ({first}/{})", cidr.prefix));
        }
        Ok(cidr)
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Cidr, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    fn first(&self) -> u32 {
        u32::from(self.address) & (u32::MAX << (32 - self.prefix))
    }

    fn last(&self) -> u32 {
        self.first() | (u32::MAX >> self.prefix)
    }

    fn contains(&self, other: &Cidr) -> bool {
        self.first() <= other.first() && other.last() <= self.last()
    }

    fn overlaps(&self, other: &Cidr) -> bool {
        self.first() <= other.last() && other.first() <= self.last()
    }
}
