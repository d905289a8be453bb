//! Every listening socket: one module per upstream API.
