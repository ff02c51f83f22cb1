//! The packet engine.
#![no_std]
