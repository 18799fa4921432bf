//! The commands that are killed, and what they start from.

use aws_sdk_glue::types::{StorageDescriptor, TableInput};
use serde_json::Value;

use super::{
    drift,
    stand::{Folders, REGION, Stand},
};
use crate::{
    record::{confirmation_link, follow},
    world::Ran,
};

/// A command, and what it starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// An apply that makes everything.
    Create,
    /// An apply that puts right what somebody has changed in the cloud, in every kind that can change in place.
    Update,
    /// An apply to which functions are replaced, and all that is part of them: the new one first.
    Replace,
    /// An apply that replaces what cannot be there twice: the old one goes first.
    DeleteFirst,
    /// An apply that makes, changes, replaces in both ways, and deletes.
    Mixed,
    /// A destroy of a lake with data in it.
    Destroy,
    /// A destroy that leaves the data, and the buckets that hold them.
    Keep,
    /// An apply that takes up what such a destroy has left.
    TakeUp,
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario::Create,
    Scenario::Update,
    Scenario::Replace,
    Scenario::DeleteFirst,
    Scenario::Mixed,
    Scenario::Destroy,
    Scenario::Keep,
    Scenario::TakeUp,
];

const APPLY: &[&str] = &["apply", "--yes"];
const DESTROY: &[&str] = &["destroy", "--yes"];

/// What `e_machine` says in an ELF header.
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// Every kind of resource is part of this lake.
const FIRST: &str = r#"
[lake]
name = "shop"
alerts = ["ann@example.com"]

[stack.local]
cloud = "aws"
region = "eu-west-1"
on_destroy = "delete"
executor = "intel"

[dataset.orders]
source = "orders/"
csv = { delimiter = ";" }
schema = { id = "int64", note = "string" }

[dataset.days]
source = "days/"
catalog = "direct"
schema = { id = "int64", note = "string" }
"#;

/// Another mail, another processor, one dataset gone, one new, one with another schema.
const SECOND: &str = r#"
[lake]
name = "shop"
alerts = ["bob@example.com"]

[stack.local]
cloud = "aws"
region = "eu-west-1"
on_destroy = "delete"
executor = "arm"

[dataset.orders]
source = "orders/"
csv = { delimiter = "|" }
schema = { id = "int64", note = "string", price = "double" }

[dataset.sizes]
source = "sizes/"
schema = { id = "int64", note = "string" }
"#;

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Create => "create",
            Scenario::Update => "update",
            Scenario::Replace => "replace",
            Scenario::DeleteFirst => "delete-first",
            Scenario::Mixed => "mixed",
            Scenario::Destroy => "destroy",
            Scenario::Keep => "keep",
            Scenario::TakeUp => "take-up",
        }
    }

    /// What is run, killed, and run once more.
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Scenario::Destroy | Scenario::Keep => DESTROY,
            _ => APPLY,
        }
    }

    /// Has the lake of a scenario that keeps data keep them no longer, so that a destroy leaves nothing.
    pub async fn let_go(self, stand: &Stand) -> Option<Ran> {
        if !matches!(self, Scenario::Keep | Scenario::TakeUp) {
            return None;
        }
        stand.folders.write("lake.toml", FIRST);
        Some(stand.lake(APPLY).await)
    }

    /// What it starts from. `applied` has the first lake in it.
    pub async fn prepare(self, applied: &Folders) -> Folders {
        match self {
            Scenario::Create => project(),
            Scenario::Destroy => {
                let stand = applied.copy().open().await;
                put_data(&stand).await;
                stand.close().await
            }
            Scenario::Keep => keeping(applied).await.close().await,
            Scenario::TakeUp => {
                let stand = keeping(applied).await;
                stand.lake(DESTROY).await.ok();
                stand.close().await
            }
            Scenario::Update => {
                let stand = applied.copy().open().await;
                drift::everything(&stand.sdk().await).await;
                stand.close().await
            }
            Scenario::Replace => {
                let folders = applied.copy();
                folders.write("lake.toml", FIRST.replace("\"intel\"", "\"arm\""));
                folders
            }
            Scenario::DeleteFirst => {
                let stand = applied.copy().open().await;
                drift::permissions(&stand.sdk().await).await;
                stand.close().await
            }
            Scenario::Mixed => {
                let stand = applied.copy().open().await;
                let sdk = stand.sdk().await;
                drift::permission_of(&sdk, "-sweep-").await;
                drift::topic(&sdk).await;
                put_data(&stand).await;
                let folders = stand.close().await;
                folders.write("lake.toml", SECOND);
                folders
            }
        }
    }
}

/// A project that nothing was done with yet.
fn project() -> Folders {
    let folders = Folders::new();
    folders.write("lake.toml", FIRST);
    folders.write("intel", program(X86_64));
    folders.write("arm", program(AARCH64));
    folders
}

/// A project that was applied, and its mail confirmed.
pub async fn applied() -> Folders {
    let stand = project().open().await;
    stand.lake(APPLY).await.ok();
    for mail in std::fs::read_dir(stand.folders.cloud().join("mail")).unwrap() {
        let text = std::fs::read_to_string(mail.unwrap().path()).unwrap();
        if let Some(link) = confirmation_link(&text) {
            tokio::task::spawn_blocking(move || follow(&link)).await.unwrap();
        }
    }
    stand.close().await
}

/// The applied lake, which is to keep its data, with data in it.
async fn keeping(applied: &Folders) -> Stand {
    let folders = applied.copy();
    folders.write("lake.toml", FIRST.replace("\"delete\"", "\"retain\""));
    let stand = folders.open().await;
    stand.lake(APPLY).await.ok();
    put_data(&stand).await;
    stand
}

/// An ELF header with nothing behind it: a program as far as anybody can tell who does not start it.
/// <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>
fn program(machine: u16) -> Vec<u8> {
    const HEADER_BYTES: u8 = 64;
    let mut header = vec![0; HEADER_BYTES.into()];
    // The magic, 64 bits, little-endian, the current version.
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    // An executable.
    header[16] = 2;
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header[20] = 1;
    header[52] = HEADER_BYTES;
    // Sizes of entries of tables that are not there.
    header[54] = 56;
    header[58] = 64;
    header
}

/// What a lake in use leaves: files in two versions, an upload that was never completed, records, tables.
async fn put_data(stand: &Stand) {
    let outputs: Value = serde_json::from_str(&stand.lake(&["outputs", "--json"]).await.ok()).unwrap();
    let text = |name: &str| outputs[name].as_str().unwrap_or_else(|| panic!("{name} in {outputs}")).to_owned();
    let (raw, processed, database) = (text("raw_bucket"), text("processed_bucket"), text("database"));
    let sdk = stand.sdk().await;
    let s3 = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    // Nobody is told of them: there is no program to convert them.
    let told = s3.get_bucket_notification_configuration().bucket(&raw).send().await.unwrap();
    let told = aws_sdk_s3::types::NotificationConfiguration::builder()
        .set_lambda_function_configurations(told.lambda_function_configurations)
        .build();
    let nobody = aws_sdk_s3::types::NotificationConfiguration::builder().build();
    s3.put_bucket_notification_configuration().bucket(&raw).notification_configuration(nobody).send().await.unwrap();
    for dataset in ["orders", "days"] {
        for (bucket, key) in [
            (&raw, format!("{dataset}/1.csv")),
            (&raw, format!("{dataset}/1.csv")),
            (&processed, format!("{dataset}/1.parquet")),
            (&processed, format!("_lake/commits/{dataset}/1.json")),
        ] {
            s3.put_object().bucket(bucket).key(key).body(b"{}".to_vec().into()).send().await.unwrap();
        }
        s3.create_multipart_upload().bucket(&processed).key(format!("{dataset}/2.parquet")).send().await.unwrap();
    }
    s3.put_bucket_notification_configuration().bucket(&raw).notification_configuration(told).send().await.unwrap();

    let glue = aws_sdk_glue::Client::new(&sdk);
    let owner = [("lake.name", "shop"), ("lake.stack", "local")];
    let crawler = format!("shop-local-orders-{REGION}");
    let crawled = [("UPDATED_BY_CRAWLER", crawler.as_str())];
    for (name, parameters, location) in [
        ("orders", &owner[..], format!("s3://{processed}/orders/")),
        ("days", &owner[..], format!("s3://{processed}/days/")),
        ("raw_orders", &crawled[..], format!("s3://{raw}/orders/")),
    ] {
        let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let storage = StorageDescriptor::builder().location(location).build();
        let table = TableInput::builder().name(name).set_parameters(Some(parameters)).storage_descriptor(storage);
        glue.create_table().database_name(&database).table_input(table.build().unwrap()).send().await.unwrap();
    }
}
