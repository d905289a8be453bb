//! The engine: order, limits, errors.
