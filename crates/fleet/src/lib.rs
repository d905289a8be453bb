//! The simulated EasyMO services and the incidents that a person can switch on.
