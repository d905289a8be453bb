//! A line of a log before it has a form.

use std::borrow::Cow;

use serde_json::Value;

/// How much a line matters, as pino numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug = 20,
    Info = 30,
    Warn = 40,
    Error = 50,
    Fatal = 60,
}

impl Level {
    /// In capitals.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An error that was thrown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// Its class.
    pub(crate) kind: &'static str,
    /// What it says.
    pub(crate) message: String,
    /// Where it came from, the innermost call first.
    pub(crate) frames: &'static [&'static str],
}

impl Failure {
    /// As a runtime prints it: one line, and one for each call.
    pub(crate) fn stack(&self) -> String {
        let head = format!("{}: {}", self.kind, self.message);
        self.frames.iter().fold(head, |stack, frame| stack + "\n    at " + frame)
    }
}

/// Something that is written down.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub(crate) struct Line {
    pub(crate) level: Level,
    /// What kind of thing happened, for machines.
    pub(crate) event: &'static str,
    /// What happened, for people.
    pub(crate) message: Cow<'static, str>,
    pub(crate) fields: Vec<(&'static str, Value)>,
    pub(crate) failure: Option<Failure>,
    /// One of many that are alike: written for a share of the traces.
    pub(crate) often: bool,
}

impl Line {
    pub(crate) fn new(level: Level, event: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { level, event, message: message.into(), fields: Vec::new(), failure: None, often: false }
    }

    pub(crate) fn info(event: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Info, event, message)
    }

    pub(crate) fn warn(event: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Warn, event, message)
    }

    pub(crate) fn error(event: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Level::Error, event, message)
    }

    /// With a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With a number that is not written more exactly than it is known.
    pub(crate) fn with_rounded(self, name: &'static str, value: f64, digits: i32) -> Self {
        let unit = 10f64.powi(digits);
        self.with(name, (value * unit).round() / unit)
    }

    /// Because of an error.
    pub(crate) fn because(
        mut self,
        kind: &'static str,
        message: impl Into<String>,
        frames: &'static [&'static str],
    ) -> Self {
        self.failure = Some(Failure { kind, message: message.into(), frames });
        self
    }

    /// As one of many that are alike.
    pub(crate) fn often(mut self) -> Self {
        self.often = true;
        self
    }
}

/// Where errors come from.
pub(crate) mod stacks {
    /// A payment provider.
    pub(crate) const PROVIDER: &[&str] = &[
        "ProviderClient.request (/app/dist/providers/provider-client.js:88:13)",
        "process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "async PaymentService.charge (/app/dist/payments/payment.service.js:142:22)",
        "async PaymentController.create (/app/dist/payments/payment.controller.js:57:20)",
    ];
    /// WhatsApp.
    pub(crate) const WHATSAPP: &[&str] = &[
        "WhatsAppClient.send (/app/dist/whatsapp/whatsapp-client.js:61:11)",
        "process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "async MessageService.deliver (/app/dist/messages/message.service.js:97:18)",
    ];
    /// The database.
    pub(crate) const DATABASE: &[&str] = &[
        "Pool.query (/app/node_modules/pg-pool/index.js:45:11)",
        "process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "async Repository.run (/app/dist/database/repository.js:31:18)",
    ];
    /// Another service.
    pub(crate) const NETWORK: &[&str] = &[
        "TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)",
        "async ServiceClient.send (/app/dist/clients/service-client.js:40:20)",
    ];
    /// The service's own code.
    pub(crate) const HANDLER: &[&str] = &[
        "toResponse (/app/dist/http/serializer.js:24:31)",
        "Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)",
        "next (/app/node_modules/express/lib/router/route.js:149:13)",
        "Route.dispatch (/app/node_modules/express/lib/router/route.js:119:3)",
    ];
}
