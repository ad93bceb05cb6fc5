# gemma-setup from a checkout on Windows: makes its own environment the first time, then passes
# everything on. Not tried on Windows yet; see "What was not tried" in docs/evidence.md.
$ErrorActionPreference = "Stop"
$root = Split-Path -Parent $PSScriptRoot
$environment = Join-Path $root ".venv-run"
$marker = Join-Path $environment ".complete"
$wanted = (Get-Content -Raw (Join-Path $root "pyproject.toml")) + $root
$python = Join-Path $environment "Scripts\python.exe"

if (-not ((Test-Path $marker) -and ((Get-Content -Raw $marker) -eq $wanted))) {
    Write-Host "Setting up gemma-setup in .venv-run (once, about half a minute) ..."
    if (Test-Path $environment) { Remove-Item -Recurse -Force $environment }
    $launcher = if (Get-Command py -ErrorAction SilentlyContinue) { "py" } else { "python" }
    & $launcher -m venv $environment
    if ($LASTEXITCODE -ne 0) { Write-Error "Python 3.11 or later is needed: https://www.python.org/downloads/" }
    & $python -m pip install --disable-pip-version-check --quiet --editable "$root[embedded]"
    if ($LASTEXITCODE -ne 0) { Write-Error "Setup failed." }
    Set-Content -NoNewline -Path $marker -Value $wanted
}
& $python -m setup_manager @args
exit $LASTEXITCODE
