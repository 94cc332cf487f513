//! What kgen finds where it is started: on this machine, and in the folder and the account. Looks, and changes nothing.

pub mod here;
pub mod machine;

pub use here::Here;
