//! The cluster, the brokers, the load, the machines and the Terraform folder that the arguments, the environment and the project
//! select.

pub mod load;
pub mod look;
pub mod machines;
pub mod place;
pub mod working_dir;
