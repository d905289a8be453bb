//! Which queries that parse make sense, by the types of their expressions.

use reba_model::GoRegex;

use super::{
    ast::{
        Field, FieldExpr, Intrinsic, MetricsExpr, MetricsFunction, Op, Pipeline, Query, Root, ScalarExpr,
        ScalarFilter, Scope, SecondStage, SpansetExpr, Stage, Static, UnaryOp,
    },
    error::ValidationError,
};

type Checked<T> = Result<T, ValidationError>;

/// Most fields by which series are split.
const MAX_SERIES_KEYS: usize = 5;

/// Most values that `compare()` shows of an attribute.
const MAX_TOP: i64 = 1000;

/// What is known of an expression's value before any span is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// An attribute: whatever the program wrote.
    Any,
    Nil,
    Number,
    Str,
    Bool,
    Status,
    Kind,
}

fn invalid<T>(message: String) -> Checked<T> {
    Err(ValidationError::Invalid(message))
}

/// Checks what the grammar cannot: types, references, regular expressions, ranges of numbers.
///
/// # Errors
/// [`ValidationError::Unsupported`] if the language has it and nobody evaluates it, else why it makes no sense.
pub fn validate(query: &Query) -> Result<(), ValidationError> {
    let mut check = Check { regex_size: 0, unsupported: None };
    match &query.root {
        Root::Search(pipeline) => check.pipeline(pipeline)?,
        Root::Metrics(metrics) => check.metrics(metrics)?,
    }
    // What makes no sense is named first: it will never be supported.
    check.unsupported.map_or(Ok(()), |what| Err(ValidationError::Unsupported(what)))
}

struct Check {
    regex_size: usize,
    unsupported: Option<String>,
}

impl Check {
    fn unsupported(&mut self, what: impl Into<String>) {
        self.unsupported.get_or_insert_with(|| what.into());
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Checked<()> {
        pipeline.stages.iter().try_for_each(|stage| match stage {
            Stage::Spanset(spanset) => self.spanset(spanset),
            Stage::Scalar(filter) => self.scalar_filter(filter),
            Stage::Coalesce => Ok(()),
            Stage::Select(fields) => {
                for field in fields {
                    self.field_is_supported(field);
                }
                Ok(())
            }
            Stage::By(keys) => keys.iter().try_for_each(|key| {
                self.type_of(key)?;
                if references_span(key) {
                    Ok(())
                } else {
                    let all = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                    invalid(format!("grouping field expressions must reference the span: by({all})"))
                }
            }),
        })
    }

    fn spanset(&mut self, spanset: &SpansetExpr) -> Checked<()> {
        match spanset {
            SpansetExpr::Filter(filter) => self.filter(filter),
            SpansetExpr::Pipeline(pipeline) => self.pipeline(pipeline),
            SpansetExpr::Binary { left, right, .. } => {
                self.spanset(left)?;
                self.spanset(right)
            }
        }
    }

    fn filter(&mut self, filter: &FieldExpr) -> Checked<()> {
        match self.type_of(filter)? {
            Type::Any | Type::Bool => Ok(()),
            _ => invalid(format!("span filter field expressions must resolve to a boolean: {{ {filter} }}")),
        }
    }

    fn scalar_filter(&mut self, filter: &ScalarFilter) -> Checked<()> {
        self.scalar(&filter.left)?;
        self.scalar(&filter.right)?;
        let simple =
            matches!(filter.left, ScalarExpr::Aggregate(..)) && matches!(filter.right, ScalarExpr::Static(_));
        if !simple {
            self.unsupported("complex scalar filters");
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: &ScalarExpr) -> Checked<()> {
        match scalar {
            ScalarExpr::Static(_) | ScalarExpr::Aggregate(_, None) => Ok(()),
            ScalarExpr::Aggregate(_, Some(of)) => {
                if !matches!(self.type_of(of)?, Type::Any | Type::Number) {
                    return invalid(format!(
                        "aggregate field expressions must resolve to a number type: {scalar}"
                    ));
                }
                if !references_span(of) {
                    return invalid(format!("aggregate field expressions must reference the span: {scalar}"));
                }
                Ok(())
            }
            ScalarExpr::Binary { left, right, .. } => {
                self.scalar(left)?;
                self.scalar(right)
            }
            ScalarExpr::Pipeline(pipeline, last) => {
                self.pipeline(pipeline)?;
                self.scalar(last)
            }
        }
    }

    fn type_of(&mut self, expr: &FieldExpr) -> Checked<Type> {
        match expr {
            FieldExpr::Static(value) => Ok(type_of_static(value)),
            FieldExpr::Field(field) => {
                self.field_is_supported(field);
                Ok(type_of_field(field))
            }
            FieldExpr::Unary(op, of) => {
                let wanted = if *op == UnaryOp::Not { Type::Bool } else { Type::Number };
                match self.type_of(of)? {
                    found if found == wanted || found == Type::Any => Ok(wanted),
                    _ => invalid(format!("illegal operation for the given type: {expr}")),
                }
            }
            FieldExpr::Binary { op, left, right } => {
                let (l, r) = (self.type_of(left)?, self.type_of(right)?);
                self.binary(expr, *op, (left, l), (right, r))
            }
        }
    }

    fn binary(
        &mut self,
        expr: &FieldExpr,
        op: Op,
        (left, l): (&FieldExpr, Type),
        (right, r): (&FieldExpr, Type),
    ) -> Checked<Type> {
        let nil = l == Type::Nil || r == Type::Nil;
        if !nil && l != r && l != Type::Any && r != Type::Any {
            return invalid(format!("binary operations must operate on the same type: {expr}"));
        }
        if ![l, r].into_iter().all(|t| allows(op, t)) {
            return invalid(format!("illegal operation for the given types: {expr}"));
        }
        if nil
            && op == Op::Eq
            && let Some(field) = never_nil(left).or_else(|| never_nil(right))
        {
            let what =
                if matches!(field, Field::Intrinsic { .. }) { "intrinsics" } else { "resource.service.name" };
            return invalid(format!("{field}=nil is not valid because {what} cannot be nil"));
        }
        if op.is_regex() {
            self.regex(right)?;
        }
        Ok(if op.is_arithmetic() { Type::Number } else { Type::Bool })
    }

    fn regex(&mut self, pattern: &FieldExpr) -> Checked<()> {
        let FieldExpr::Static(Static::Str(pattern)) = pattern else {
            return invalid(format!("invalid type for =~ or !~: {pattern}"));
        };
        match GoRegex::anchored(pattern) {
            Ok(regex) => self.regex_size += regex.size(),
            Err(e) => return invalid(format!("invalid regex: `{pattern}`: {e}")),
        }
        if self.regex_size > GoRegex::MAX_TOGETHER {
            return invalid("regular expressions are too large together".to_owned());
        }
        Ok(())
    }

    fn field_is_supported(&mut self, field: &Field) {
        if field.is_of_parent() {
            self.unsupported("parent");
        }
    }

    fn metrics(&mut self, metrics: &MetricsExpr) -> Checked<()> {
        match metrics {
            MetricsExpr::Number(_) => Ok(()),
            MetricsExpr::Binary { left, right, .. } => {
                if is_compare(left) || is_compare(right) {
                    return invalid("`compare()` cannot be used in arithmetic".to_owned());
                }
                self.metrics(left)?;
                self.metrics(right)
            }
            MetricsExpr::Second(of, stage) => {
                if is_compare(of) {
                    return invalid("`compare()` cannot be used with second stage functions".to_owned());
                }
                match stage {
                    SecondStage::TopK(n) | SecondStage::BottomK(n) if *n <= 0 => {
                        invalid("limit must be greater than 0".to_owned())
                    }
                    _ => self.metrics(of),
                }
            }
            MetricsExpr::Aggregate(aggregate) => {
                self.pipeline(&aggregate.pipeline)?;
                aggregate.by.iter().for_each(|field| self.field_is_supported(field));
                if aggregate.by.len() > MAX_SERIES_KEYS {
                    let n = aggregate.by.len();
                    return invalid(format!(
                        "metrics group by {n} values not yet supported: {MAX_SERIES_KEYS} at most"
                    ));
                }
                self.function(&aggregate.function)
            }
        }
    }

    fn function(&mut self, function: &MetricsFunction) -> Checked<()> {
        if let Some(field) = function.field() {
            self.field_is_supported(field);
            if !matches!(type_of_field(field), Type::Any | Type::Number) {
                return invalid(format!("{function} needs a field that holds numbers"));
            }
        }
        match function {
            MetricsFunction::QuantileOverTime(_, quantiles) => {
                match quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
                    Some(q) => invalid(format!("quantile must be between 0 and 1: {q}")),
                    None => Ok(()),
                }
            }
            MetricsFunction::Compare(compare) => {
                if !(1..=MAX_TOP).contains(&compare.top) {
                    return invalid(format!(
                        "compare() top number of values must be an integer between 1 and {MAX_TOP}"
                    ));
                }
                if compare.window.is_some_and(|(start, end)| start <= 0 || end <= start) {
                    return invalid(
                        "compare() timestamps must be both set and end must be greater than start".to_owned(),
                    );
                }
                self.filter(&compare.selection)
            }
            _ => Ok(()),
        }
    }
}

fn is_compare(metrics: &MetricsExpr) -> bool {
    matches!(metrics, MetricsExpr::Aggregate(a) if matches!(a.function, MetricsFunction::Compare(_)))
}

fn allows(op: Op, of: Type) -> bool {
    match op {
        _ if of == Type::Any => true,
        Op::Eq | Op::Ne => true,
        Op::And | Op::Or => of == Type::Bool,
        Op::Match | Op::NotMatch => of == Type::Str,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => matches!(of, Type::Number | Type::Str),
        _ => of == Type::Number,
    }
}

/// Intrinsics, and the name of the service, are there on every span.
/// The field of an expression that upstream's storage has of every span.
fn never_nil(expr: &FieldExpr) -> Option<&Field> {
    let FieldExpr::Field(field) = expr else { return None };
    let always = match field {
        Field::Intrinsic { .. } => true,
        Field::Attribute { parent, scope, name } => {
            !parent && *scope == Scope::Resource && name == "service.name"
        }
    };
    always.then_some(field)
}

fn references_span(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Static(_) => false,
        FieldExpr::Field(_) => true,
        FieldExpr::Unary(_, of) => references_span(of),
        FieldExpr::Binary { left, right, .. } => references_span(left) || references_span(right),
    }
}

fn type_of_static(value: &Static) -> Type {
    match value {
        Static::Nil => Type::Nil,
        Static::Int(_) | Static::Float(_) | Static::Duration(_) => Type::Number,
        Static::Str(_) => Type::Str,
        Static::Bool(_) => Type::Bool,
        Static::Status(_) => Type::Status,
        Static::Kind(_) => Type::Kind,
        Static::Many(_) => Type::Any,
    }
}

fn type_of_field(field: &Field) -> Type {
    let Field::Intrinsic { intrinsic, .. } = field else { return Type::Any };
    match intrinsic {
        Intrinsic::Parent => Type::Any,
        Intrinsic::Duration
        | Intrinsic::TraceDuration
        | Intrinsic::EventTimeSinceStart
        | Intrinsic::ChildCount
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent => Type::Number,
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        _ => Type::Str,
    }
}
