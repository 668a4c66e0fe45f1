//! Bounds of the control plane, each with its reason.
