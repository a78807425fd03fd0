//! The exam on the disk of this machine.

use crate::rig::Real;

midsession_ports::exam!(Real::new, 1);
