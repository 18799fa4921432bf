//! Which face of lake: the Lambda bootstrap when a Runtime API is there, else the CLI.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return lake::pipeline::bootstrap::main();
    }
    lake::cli::main()
}
