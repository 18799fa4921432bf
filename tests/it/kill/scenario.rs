//! The commands that are killed, and what they start from.

use aws_sdk_glue::types::{StorageDescriptor, TableInput};
use serde_json::Value;

use super::{
    bucket, drift,
    stand::{Folders, REGION, Stand},
};
use crate::{
    record::{confirmation_link, follow},
    world::Ran,
};

/// A command, what it starts from, and where the state lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    pub place: Place,
    pub action: Action,
}

/// Where the state lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the project's folder.
    Folder,
    /// In a bucket of the same cloud.
    Bucket,
}

/// A command, and what it starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
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
    /// An apply that goes on where another was killed, whose lock is still there.
    TakeOver,
}

pub const SCENARIOS: [Scenario; 12] = [
    Place::Folder.with(Action::Create),
    Place::Folder.with(Action::Update),
    Place::Folder.with(Action::Replace),
    Place::Folder.with(Action::DeleteFirst),
    Place::Folder.with(Action::Mixed),
    Place::Folder.with(Action::Destroy),
    Place::Folder.with(Action::Keep),
    Place::Folder.with(Action::TakeUp),
    // What it costs to keep state in a bucket does not depend on what changes: there are fewer of these.
    Place::Bucket.with(Action::Create),
    Place::Bucket.with(Action::Mixed),
    Place::Bucket.with(Action::Destroy),
    Place::Bucket.with(Action::TakeOver),
];

impl Place {
    pub const fn with(self, action: Action) -> Scenario {
        Scenario { place: self, action }
    }
}

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

/// The write of state at which the apply was killed that [`Action::TakeOver`] goes on with: somewhere in its middle.
const KILLED_AT: &str = "state:40:kill";

impl Scenario {
    pub fn name(self) -> String {
        let action = match self.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Replace => "replace",
            Action::DeleteFirst => "delete-first",
            Action::Mixed => "mixed",
            Action::Destroy => "destroy",
            Action::Keep => "keep",
            Action::TakeUp => "take-up",
            Action::TakeOver => "take-over",
        };
        match self.place {
            Place::Folder => action.to_owned(),
            Place::Bucket => format!("s3-{action}"),
        }
    }

    /// What is run, killed, and run once more.
    pub fn command(self) -> &'static [&'static str] {
        match self.action {
            Action::Destroy | Action::Keep => DESTROY,
            _ => APPLY,
        }
    }

    /// Has the lake of a scenario that keeps data keep them no longer, so that a destroy leaves nothing.
    pub async fn let_go(self, stand: &Stand) -> Option<Ran> {
        if !matches!(self.action, Action::Keep | Action::TakeUp) {
            return None;
        }
        self.place.write(&stand.folders, FIRST);
        Some(stand.lake(APPLY).await)
    }

    /// What it starts from. `applied` has the first lake in it, its state in the same place.
    pub async fn prepare(self, applied: &Folders) -> Folders {
        match self.action {
            Action::Create => self.place.project().await.close().await,
            Action::Destroy => {
                let stand = applied.copy().open().await;
                put_data(&stand).await;
                stand.close().await
            }
            Action::Keep => self.place.keeping(applied).await.close().await,
            Action::TakeUp => {
                let stand = self.place.keeping(applied).await;
                stand.lake(DESTROY).await.ok();
                stand.close().await
            }
            Action::Update => {
                let stand = applied.copy().open().await;
                drift::everything(&stand.sdk().await).await;
                stand.close().await
            }
            Action::Replace => {
                let folders = applied.copy();
                self.place.write(&folders, &FIRST.replace("\"intel\"", "\"arm\""));
                folders
            }
            Action::DeleteFirst => {
                let stand = applied.copy().open().await;
                drift::permissions(&stand.sdk().await).await;
                stand.close().await
            }
            Action::Mixed => {
                let stand = applied.copy().open().await;
                let sdk = stand.sdk().await;
                drift::permission_of(&sdk, "-sweep-").await;
                drift::topic(&sdk).await;
                put_data(&stand).await;
                if self.place == Place::Bucket {
                    bucket::fill_history(&sdk).await;
                }
                let folders = stand.close().await;
                self.place.write(&folders, SECOND);
                folders
            }
            Action::TakeOver => {
                let stand = self.place.project().await;
                let killed = stand.lake_with("LAKE_FAILPOINT", KILLED_AT, APPLY).await;
                assert_eq!(killed.code, -1, "{}", killed.stderr);
                if self.place == Place::Bucket {
                    bucket::bury_holder(&stand.sdk().await).await;
                }
                stand.close().await
            }
        }
    }
}

impl Place {
    /// Writes `lake.toml`, with where the state lies.
    fn write(self, folders: &Folders, toml: &str) {
        let toml = match self {
            Place::Folder => toml.to_owned(),
            Place::Bucket => toml.replace("[stack.local]", &format!("[stack.local]\n{}", bucket::STATE)),
        };
        folders.write("lake.toml", toml);
    }

    /// A project that nothing was done with yet.
    async fn project(self) -> Stand {
        let folders = Folders::new();
        self.write(&folders, FIRST);
        folders.write("intel", program(X86_64));
        folders.write("arm", program(AARCH64));
        let stand = folders.open().await;
        if self == Place::Bucket {
            bucket::make(&stand.sdk().await).await;
        }
        stand
    }

    /// A project that was applied, and its mail confirmed.
    pub async fn applied(self) -> Folders {
        let stand = self.project().await;
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
    async fn keeping(self, applied: &Folders) -> Stand {
        let folders = applied.copy();
        self.write(&folders, &FIRST.replace("\"delete\"", "\"retain\""));
        let stand = folders.open().await;
        stand.lake(APPLY).await.ok();
        put_data(&stand).await;
        stand
    }
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
