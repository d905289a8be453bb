//! Parse, print and evaluate PromQL over series already fetched.
