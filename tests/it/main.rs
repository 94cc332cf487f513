//! The program as a whole: `kgen` against stub programs, and the rules that its source keeps.

mod architecture;
mod attack;
mod awaited;
mod chaos;
mod documented;
mod driving;
mod faults;
mod field;
mod frontdoor;
mod interrupts;
mod kills;
mod lab;
mod load;
mod project;
mod real;
mod refusals;
mod remedies;
mod render;
mod resize_dir;
mod schema;
mod scram;
mod screen;
mod soak;
mod terraform;
mod traces;
