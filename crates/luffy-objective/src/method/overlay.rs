//! Settings laid over the defaults of a method.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::MethodConfig;

/// Takes the key that names the method.
pub(super) fn take_name(given: &mut Table) -> Result<String, String> {
    match given.remove("name") {
        Some(Value::String(name)) => Ok(name),
        Some(other) => Err(format!("`name` is {other}, it must be the name of a method")),
        None => Err("`name` is missing: it says which method".to_owned()),
    }
}

pub(super) fn unknown_method(name: &str) -> String {
    let names: Vec<&str> = MethodConfig::all().iter().map(MethodConfig::name).collect();
    format!("unknown method `{name}`, expected one of {}", names.join(", "))
}

/// The defaults with what is given in their place.
pub(super) fn over<T>(method: &str, defaults: &T, given: Table) -> Result<T, String>
where
    T: Serialize + DeserializeOwned,
{
    let mut table = Table::try_from(defaults).map_err(|error| error.to_string())?;
    for (key, value) in given {
        if !table.contains_key(&key) {
            let known: Vec<&str> = table.keys().map(String::as_str).collect();
            return Err(format!(
                "unknown key `{key}`, method `{method}` knows {}",
                known.join(", ")
            ));
        }
        // Tried alone against the defaults, so that a wrong value is reported by its key.
        let mut alone = table.clone();
        alone.insert(key.clone(), value.clone());
        alone.try_into::<T>().map_err(|error| format!("`{key}`: {}", error.to_string().trim()))?;
        table.insert(key, value);
    }
    table.try_into().map_err(|error: toml::de::Error| error.to_string())
}
