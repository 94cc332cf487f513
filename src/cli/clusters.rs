//! Arguments of `clusters`.

use std::time::Duration;

use clap::Args;

use super::look::duration;

/// List every cluster of regions and accounts: state, verdict, headroom and cost
#[derive(Debug, Args)]
#[command(after_help = "\
Reads CloudWatch and the MSK API: needs read-only credentials (`kgen config --iam-policy`), no network path to a broker. \
GetMetricData costs USD 0.01 per 1,000 metrics; above USD 1 it asks first.

CPU, disk and heap are the 95th percentile over the window of the broker that has the highest. USD/month is AWS's list \
price of the brokers in us-east-1, without storage and traffic.

Exits with 0 if every cluster is healthy, 3 if a cause was found at one, 4 if nothing can be said of one, 1 if a region, an \
account or a cluster could not be read.

Examples:
  kgen clusters
  kgen clusters --region us-west-2 --region eu-central-1
  kgen clusters --all-regions --profile prod --profile staging --json
  kgen clusters --role-arn arn:aws:iam::123456789012:role/kgen-read --external-id 7f3a")]
pub struct Clusters {
    /// AWS region, again for more [default: AWS_REGION, else the profile's, else the one in kgen.toml]
    #[arg(long = "region", value_name = "REGION", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// Every region that has MSK; those that an account has not enabled are left out
    #[arg(long, conflicts_with = "regions")]
    pub all_regions: bool,
    /// Profile of the AWS files to read with, again for more
    #[arg(long = "profile", value_name = "PROFILE", value_delimiter = ',')]
    pub profiles: Vec<String>,
    /// Role to assume and read with, again for more
    #[arg(long = "role-arn", value_name = "ARN", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// External id that the roles ask for
    #[arg(long, value_name = "ID", requires = "roles")]
    pub external_id: Option<String>,
    /// How far back to read
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub window: Option<Duration>,
    /// Ignore datapoints younger than this, as some are still arriving [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub delay: Option<Duration>,
    /// Leave out consumer groups and topics, which makes it faster and cheaper
    #[arg(long)]
    pub brokers_only: bool,
    /// Do not ask when reading costs more than USD 1
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document (schema kgen.clusters/1)
    #[arg(long)]
    pub json: bool,
}
