//! From attributes to labels.

use reba_model::{Labels, LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME};

use super::{
    super::{
        common::{Attribute, Scope, submessages, values},
        names::Namer,
    },
    Problem,
};
use crate::config::OtlpConfig;

/// Most bytes of the labels of one series.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// Attributes that name the source; they become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];

/// How attributes become labels.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: OtlpConfig,
    pub(super) namer: Namer,
}

/// What all series of a resource have in common.
#[derive(Debug, Default)]
pub(super) struct ResourceLabels {
    /// Attributes that were promoted.
    promoted: Labels,
    job: String,
    instance: String,
}

impl Rules {
    pub(super) fn new(config: OtlpConfig) -> Self {
        Rules { namer: Namer::new(&config), config }
    }

    fn is_promoted(&self, key: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|k| k == key);
        if self.config.promote_all_resource_attributes {
            !among(&self.config.ignore_resource_attributes)
        } else {
            among(&self.config.promote_resource_attributes)
        }
    }

    /// Reads a `Resource`.
    pub(super) fn resource(&self, message: &[u8]) -> Result<ResourceLabels, Problem> {
        let mut out = ResourceLabels::default();
        let mut promoted = LabelsBuilder::new();
        let mut namespace = String::new();
        for attribute in values(message) {
            let Attribute { key, value } = Attribute::read(attribute?)?;
            match key {
                "service.name" => out.job = value.to_text()?,
                "service.namespace" => namespace = value.to_text()? + "/",
                "service.instance.id" => out.instance = value.to_text()?,
                _ => {}
            }
            if self.is_promoted(key) {
                set(&mut promoted, &self.named(key)?, &value.to_text()?)?;
            }
        }
        if !out.job.is_empty() {
            out.job.insert_str(0, &namespace);
        }
        out.promoted = promoted.build();
        Ok(out)
    }

    /// The labels of a scope, if it has a name and becomes labels. `schema_url` stands beside it.
    pub(super) fn scope(&self, scope: Scope<'_>, schema_url: &str) -> Result<Labels, Problem> {
        if !self.config.promote_scope_metadata || scope.name.is_empty() {
            return Ok(Labels::empty());
        }
        let mut out = LabelsBuilder::new();
        for attribute in submessages(scope.message, 3) {
            let Attribute { key, value } = Attribute::read(attribute?)?;
            set(&mut out, &self.named(&format!("otel_scope_{key}"))?, &value.to_text()?)?;
        }
        for (name, value) in [
            ("otel_scope_name", scope.name),
            ("otel_scope_version", scope.version),
            ("otel_scope_schema_url", schema_url),
        ] {
            set(&mut out, name, value)?;
        }
        Ok(out.build())
    }

    fn named<'k>(&self, key: &'k str) -> Result<std::borrow::Cow<'k, str>, Problem> {
        self.namer.label(key).map_err(Problem::Item)
    }

    /// Puts into `out` the labels of a data point, all but its name: those of its attributes, which win over promoted
    /// ones, `job` and `instance`, and those of the scope.
    pub(super) fn point<'m>(
        &self,
        attributes: impl IntoIterator<Item = &'m [u8]>,
        resource: &ResourceLabels,
        scope: &Labels,
        out: &mut LabelsBuilder,
    ) -> Result<(), Problem> {
        out.clear();
        self.attributes(attributes, &[METRIC_NAME], out)?;
        for (name, value) in &resource.promoted {
            if out.value(name).is_empty() {
                set(out, name, value)?;
            }
        }
        resource.identify(out)?;
        scope.iter().try_for_each(|(name, value)| set(out, name, value))?;
        check_size(out)
    }

    /// Puts into `out` the labels of `target_info`; `false` if the resource says nothing beyond which it is, or not even
    /// that.
    pub(super) fn target_info(
        &self,
        message: &[u8],
        resource: &ResourceLabels,
        out: &mut LabelsBuilder,
    ) -> Result<bool, Problem> {
        let mut attributes = Vec::new();
        let mut more = false;
        for attribute in values(message) {
            let attribute = attribute?;
            more |= !IDENTIFYING.contains(&Attribute::read(attribute)?.key);
            attributes.push(attribute);
        }
        if !more {
            return Ok(false);
        }
        out.clear();
        let kept = self.config.keep_identifying_resource_attributes;
        self.attributes(attributes, if kept { &[] } else { &IDENTIFYING }, out)?;
        resource.identify(out)?;
        if out.value("job").is_empty() && out.value("instance").is_empty() {
            return Ok(false);
        }
        set(out, METRIC_NAME, "target_info")?;
        check_size(out)?;
        Ok(true)
    }

    /// Adds the labels of attributes whose keys are not in `without`. Values of attributes that get one name are
    /// joined, sorted by their keys.
    fn attributes<'m>(
        &self,
        attributes: impl IntoIterator<Item = &'m [u8]>,
        without: &[&str],
        out: &mut LabelsBuilder,
    ) -> Result<(), Problem> {
        let mut sorted = Vec::new();
        for message in attributes {
            let attribute = Attribute::read(message)?;
            if !without.contains(&attribute.key) {
                sorted.push(attribute);
            }
            if sorted.len() > MAX_SERIES_LABELS {
                return Err(Problem::Item(format!("more than {MAX_SERIES_LABELS} attributes")));
            }
        }
        sorted.sort_by_key(|a| a.key);
        for Attribute { key, value } in sorted {
            let (name, value) = (self.named(key)?, value.to_text()?);
            match out.value(&name) {
                "" => set(out, &name, &value)?,
                _ if self.namer.is_utf8() => set(out, &name, &value)?,
                first => {
                    let both = format!("{first};{value}");
                    set(out, &name, &both)?;
                }
            }
        }
        Ok(())
    }
}

impl ResourceLabels {
    fn identify(&self, out: &mut LabelsBuilder) -> Result<(), Problem> {
        set(out, "job", &self.job)?;
        set(out, "instance", &self.instance)
    }
}

/// Sets a label; an empty value leaves what is there.
fn set(out: &mut LabelsBuilder, name: &str, value: &str) -> Result<(), Problem> {
    if value.is_empty() {
        return Ok(());
    }
    if out.len() >= MAX_SERIES_LABELS {
        return Err(Problem::Item(format!("more than {MAX_SERIES_LABELS} labels")));
    }
    out.set(name, value);
    Ok(())
}

/// Bytes of the labels so far.
pub(super) fn size(labels: &LabelsBuilder) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn check_size(labels: &LabelsBuilder) -> Result<(), Problem> {
    match size(labels) {
        n if n > MAX_LABEL_BYTES => {
            Err(Problem::Item(format!("labels of a series take more than {MAX_LABEL_BYTES} bytes")))
        }
        _ => Ok(()),
    }
}
