package io.github.sentryagent.agentidp.model;

/** The form of an export of the log. */
public enum ExportFormat {
    /** A signed checkpoint, then each event byte for byte as it was hashed: it can be verified without the IdP. */
    NDJSON,
    /** RFC 4180, for spreadsheets. */
    CSV
}
