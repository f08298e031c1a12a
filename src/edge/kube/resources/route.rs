//! HTTPRoutes as users write them: what is known of their rules, and all of each.
//!
//! Rules are copied to generated routes. What this program does not know (experimental fields such as `retry`, filters of
//! a later version) must not get lost there, and must not keep the route from being read.

use gateway_api::httproutes::{HttpRoute, HttpRouteRules, HttpRouteRulesFilters};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// One HTTPRoute.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// All but its rules.
    pub object: HttpRoute,
    /// `spec.rules`
    pub rules: Vec<Rule>,
}

/// One rule of an HTTPRoute.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What is known of it: filters of kinds that are unknown, and those of single backendRefs, are not there.
    pub known: HttpRouteRules,
    /// All of it.
    pub whole: Whole,
}

/// A rule as the API server has it.
pub type Whole = Arc<Map<String, Value>>;

// === impl Route ===

impl Deref for Route {
    type Target = HttpRoute;

    fn deref(&self) -> &HttpRoute {
        &self.object
    }
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut whole = Value::deserialize(deserializer)?;
        let rules = whole.pointer_mut("/spec/rules").map(Value::take).unwrap_or_default();
        let object = HttpRoute::deserialize(whole).map_err(D::Error::custom)?;
        let rules: Option<Vec<Map<String, Value>>> = Option::deserialize(rules).map_err(D::Error::custom)?;
        let rules = rules.into_iter().flatten().map(Rule::read);
        Ok(Self {
            object,
            rules: rules.collect::<Result<_, _>>().map_err(D::Error::custom)?,
        })
    }
}

impl Resource for Route {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        HttpRoute::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        HttpRoute::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        HttpRoute::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        HttpRoute::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.object.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.object.metadata
    }
}

// === impl Rule ===

impl Deref for Rule {
    type Target = HttpRouteRules;

    fn deref(&self) -> &HttpRouteRules {
        &self.known
    }
}

impl Rule {
    fn read(whole: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut known = whole.clone();
        if let Some(Value::Array(filters)) = known.get_mut("filters") {
            filters.retain(|filter| HttpRouteRulesFilters::deserialize(filter).is_ok());
        }
        if let Some(Value::Array(references)) = known.get_mut("backendRefs") {
            for reference in references.iter_mut().filter_map(Value::as_object_mut) {
                reference.remove("filters");
            }
        }
        Ok(Self {
            known: serde_json::from_value(Value::Object(known))?,
            whole: Arc::new(whole),
        })
    }

    /// Its filters, whatever they are.
    pub fn filters(&self) -> impl Iterator<Item = &Value> {
        filters_of(&self.whole)
    }
}

/// The filters of a rule.
pub fn filters_of(whole: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let filters = whole.get("filters").and_then(Value::as_array);
    filters.into_iter().flatten()
}

/// What a filter is called; empty where it has no name.
#[must_use]
pub fn kind_of_filter(filter: &Value) -> &str {
    filter.get("type").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(rules: &Value) -> Result<Route, serde_json::Error> {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {"hostnames": ["a.test"], "rules": rules}}))
    }

    #[test]
    fn what_is_not_known_of_a_rule_is_kept_beside_what_is() {
        let filters = json!([
            {"type": "URLRewrite", "urlRewrite": {"hostname": "b.test"}},
            {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC"}},
        ]);
        let retry = json!({"attempts": 3, "codes": [503]});
        let references = json!([{"name": "b", "port": 80, "filters": [{"type": "Later"}], "later": true}]);
        let route = read(&json!([{"filters": &filters, "retry": &retry, "backendRefs": &references}])).unwrap();
        let rule = &route.rules[0];
        assert_eq!(rule.known.filters.as_ref().map(Vec::len), Some(1));
        assert_eq!(rule.backend_refs.as_ref().map(|all| all[0].name.as_str()), Some("b"));
        assert_eq!(rule.whole["filters"], filters);
        assert_eq!(rule.whole["retry"], retry);
        assert_eq!(rule.whole["backendRefs"], references);
        assert_eq!(
            rule.filters().map(kind_of_filter).collect::<Vec<_>>(),
            ["URLRewrite", "ExternalAuth"]
        );
        assert_eq!(route.spec.hostnames.as_deref(), Some(&["a.test".to_owned()][..]));
    }

    #[test]
    fn a_route_without_rules_is_read_and_one_with_nonsense_is_not() {
        assert_eq!(read(&Value::Null).unwrap().rules.len(), 0);
        assert!(read(&json!([7])).is_err());
        assert!(read(&json!([{"timeouts": "soon"}])).is_err());
    }
}
