//! The JSON schema of the manifest.

/// The JSON schema of the manifest, for editors.
pub fn schema() -> serde_json::Value {
    unimplemented!()
}
