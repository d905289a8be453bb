//! Go text templates, with the functions that Prometheus and Alertmanager add.
