//! The lists of this server: read from `catalog/*.json`, extended by `--tools`, cut into pages by `--page`.

use crate::Options;
use rmcp::ErrorData;
use rmcp::model::{PaginatedRequestParams, Prompt, Resource, ResourceTemplate, Tool};
use serde_json::json;

pub(crate) struct Catalog {
    pub(crate) tools: Vec<Tool>,
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) templates: Vec<ResourceTemplate>,
}

impl Catalog {
    pub(crate) fn new(options: &Options) -> Self {
        let mut catalog = if options.bare {
            Self {
                tools: Vec::new(),
                prompts: Vec::new(),
                resources: Vec::new(),
                templates: Vec::new(),
            }
        } else {
            Self {
                tools: parse(include_str!("catalog/tools.json")),
                prompts: parse(include_str!("catalog/prompts.json")),
                resources: parse(include_str!("catalog/resources.json")),
                templates: parse(include_str!("catalog/templates.json")),
            }
        };
        catalog
            .tools
            .extend((0..options.tools).map(|number| simple_tool(&format!("generated_{number}"))));
        for visitor in &options.visitor {
            let item = |key: &str, value: String| json!({"name": format!("for_{visitor}_own"), key: value});
            catalog.tools.push(simple_tool(&format!("for_{visitor}_own")));
            catalog
                .prompts
                .push(parse_one(item("description", "A prompt.".to_owned())));
            let uri = format!("test://for_{visitor}_own");
            catalog.resources.push(parse_one(item("uri", uri)));
            let template = format!("test://for_{visitor}_own/{{+path}}");
            catalog.templates.push(parse_one(item("uriTemplate", template)));
        }
        catalog
    }
}

fn parse_one<T: serde::de::DeserializeOwned>(item: serde_json::Value) -> T {
    serde_json::from_value(item).expect("it has what an item needs")
}

/// A tool that answers its own name.
pub(crate) fn simple_tool(name: &str) -> Tool {
    let tool = json!({
        "name": name,
        "description": format!("Answers {name}"),
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string", "description": "Anything"}}},
    });
    serde_json::from_value(tool).expect("the fields above are those of a tool")
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    serde_json::from_str(text).expect("the catalog files hold valid items")
}

/// One page of `items` and the cursor of the next.
pub(crate) fn page<T: Clone>(
    items: &[T],
    request: Option<&PaginatedRequestParams>,
    options: &Options,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let cursor = request.and_then(|request| request.cursor.as_deref());
    let size = if options.page == 0 {
        items.len().max(1)
    } else {
        options.page
    };
    let start: usize = match cursor.map(str::parse) {
        None => 0,
        Some(Ok(start)) if start < items.len() => start,
        Some(_) => return Err(ErrorData::invalid_params("no such page", None)),
    };
    let end = items.len().min(start + size);
    let next = if options.endless {
        Some(start)
    } else {
        (end < items.len()).then_some(end)
    };
    Ok((items[start..end].to_vec(), next.map(|next| next.to_string())))
}
