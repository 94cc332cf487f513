//! The cluster, the brokers and the Terraform folder that the arguments, the environment and the project select.

pub mod look;
pub mod place;
pub mod working_dir;
