//! The program as a whole: `kgen` against stub programs, and the rules that its source keeps.

mod architecture;
mod interrupts;
mod project;
mod terraform;
//! The program as a whole.

mod render;
