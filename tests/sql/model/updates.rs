//! What the mapping of these tests makes of a payload, written out by hand.

use super::json::Json;

/// The entries that delete, beside [`super::entries::UPSERTS`].
pub const DELETES: &str = r##"
{"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "jsonataExpression": "deleted_contacts",
    "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
{"entity_schema": "contract", "mode": "delete", "unique_ids": ["contract_number"], "jsonataExpression": "deleted_contracts",
    "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}"##;

#[derive(Debug, Clone)]
pub struct Update {
    pub slug: &'static str,
    pub unique_ids: &'static [&'static str],
    pub is_delete: bool,
    pub attributes: Vec<(&'static str, Change)>,
}

#[derive(Debug, Clone)]
pub enum Change {
    Value(Json),
    Links(&'static str, Vec<Link>),
}

#[derive(Debug, Clone)]
pub struct Link {
    pub slug: &'static str,
    pub tag: Option<&'static str>,
    pub identifiers: Vec<(&'static str, Json)>,
}

/// What an expression fails with.
pub const EXPRESSION_FAILED: &str = "MP004";

/// What the payload asks for, with or without the entries that delete.
pub fn updates(payload: &Json, deletes: bool) -> Result<Vec<Update>, &'static str> {
    let mut updates = Vec::new();
    for contact in payload.list("contacts") {
        updates.push(self::contact(&contact)?);
    }
    updates.extend(payload.list("contracts").iter().map(contract));
    updates.extend(payload.list("accounts").iter().map(account));
    for (list, slug, unique_ids, is_delete) in [
        ("sites", "site", &["site_number"], false),
        ("vendors", "vendor", &["vendor_number"], false),
        ("deleted_contacts", "contact", &["customer_number"], true),
        ("deleted_contracts", "contract", &["contract_number"], true),
    ] {
        if is_delete && !deletes {
            continue;
        }
        updates.extend(payload.list(list).into_iter().map(|number| Update {
            slug,
            unique_ids,
            is_delete,
            attributes: vec![(unique_ids[0], Change::Value(number))],
        }));
    }
    Ok(updates)
}

fn contact(contact: &Json) -> Result<Update, &'static str> {
    let mut fields = Fields { item: contact, attributes: Vec::new() };
    fields.copy("customer_number", "number");
    for name in ["email", "name", "score", "limit", "tags"] {
        fields.copy(name, name);
    }
    if let Some(marks) = contact.get("marks") {
        let operation = Json::object([("_append_unique".to_owned(), marks.clone())]);
        fields.attributes.push(("marks", Change::Value(operation)));
    }
    match contact.get("upper").map(Json::to_string) {
        None => {}
        Some(text) if text.starts_with('"') => {
            fields.attributes.push(("upper", Change::Value(Json::Scalar(text.to_uppercase()))));
        }
        Some(_) => return Err(EXPRESSION_FAILED),
    }
    fields.links("manager", "_set", &[("contact", None, "customer_number", "manager")]);
    fields.mails("friends", "_append");
    Ok(fields.update("contact", &["customer_number"]))
}

fn contract(contract: &Json) -> Update {
    let mut fields = Fields { item: contract, attributes: Vec::new() };
    fields.copy("contract_number", "number");
    fields.copy("status", "status");
    fields.links(
        "owner",
        "_set",
        &[
            ("contact", Some("OWNER"), "customer_number", "owner"),
            ("contact", None, "email", "payer"),
        ],
    );
    let sites =
        [("site", None, "site_number", "site"), ("site", None, "site_number", "other_site")];
    fields.links("sites", "_append", &sites);
    fields.links("vendor", "_set", &[("vendor", None, "vendor_number", "vendor")]);
    fields.account(
        "account",
        "_append_unique",
        Some("A"),
        "account",
        Some(Json::string("BILLING")),
    );
    fields.update("contract", &["contract_number"])
}

fn account(account: &Json) -> Update {
    let mut fields = Fields { item: account, attributes: Vec::new() };
    fields.copy("external_id", "id");
    fields.copy("kind", "kind");
    fields.copy("tags", "tags");
    fields.links("contract", "_set", &[("contract", None, "contract_number", "contract")]);
    fields.account("parent", "_set", None, "parent", account.get("kind").cloned());
    fields.mails("holders", "_append_unique");
    fields.update("account", &["external_id", "kind"])
}

struct Fields<'p> {
    item: &'p Json,
    attributes: Vec<(&'static str, Change)>,
}

impl Fields<'_> {
    fn copy(&mut self, attribute: &'static str, field: &str) {
        if let Some(value) = self.item.get(field) {
            self.attributes.push((attribute, Change::Value(value.clone())));
        }
    }

    /// Links by one identifier each, which a field gives; those that lack it are dropped.
    fn links(
        &mut self,
        attribute: &'static str,
        operation: &'static str,
        items: &[(&'static str, Option<&'static str>, &'static str, &str)],
    ) {
        let given = items.iter().filter_map(|(slug, tag, name, field)| {
            let value = self.item.get(field).filter(|value| !value.is_blank())?;
            Some(Link { slug, tag: *tag, identifiers: vec![(*name, value.clone())] })
        });
        self.add(attribute, operation, given.collect());
    }

    fn account(
        &mut self,
        attribute: &'static str,
        operation: &'static str,
        tag: Option<&'static str>,
        field: &str,
        kind: Option<Json>,
    ) {
        let number = self.item.get(field).filter(|value| !value.is_blank()).cloned();
        if let (Some(number), Some(kind)) = (number, kind) {
            let identifiers = vec![("external_id", number), ("kind", kind)];
            self.add(attribute, operation, vec![Link { slug: "account", tag, identifiers }]);
        }
    }

    /// Links to contacts by the addresses of a list.
    fn mails(&mut self, attribute: &'static str, operation: &'static str) {
        let link = |mail| Link { slug: "contact", tag: None, identifiers: vec![("email", mail)] };
        self.add(attribute, operation, self.item.list(attribute).into_iter().map(link).collect());
    }

    /// Without a link there is nothing to say of the attribute.
    fn add(&mut self, attribute: &'static str, operation: &'static str, links: Vec<Link>) {
        if !links.is_empty() {
            self.attributes.push((attribute, Change::Links(operation, links)));
        }
    }

    fn update(self, slug: &'static str, unique_ids: &'static [&'static str]) -> Update {
        Update { slug, unique_ids, is_delete: false, attributes: self.attributes }
    }
}
