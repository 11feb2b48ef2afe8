// Package faults breaks a running sidecar, its IdP and its APIs in every way
// its authors could think of, and holds what clients were answered against what
// the IdP's audit log says afterwards. It has tests only, which build and run
// the real programs and talk to them as their users do.
//
// Clients keep a ledger of what they were answered: each answer names its
// decision. After the fault everything is started again, what lies in spools is
// shipped, the IdP is stopped, its log is verified and exported, and judged:
//
//   - lost: an answered decision that is not in the log, beyond those that gap
//     records declare; a hole in a sidecar's sequence;
//   - phantom: a decision that is there twice or otherwise than it was answered,
//     one that nobody asked for, or a gap that declares more than is missing. A
//     cut connection tells nothing: either outcome is right;
//   - unaudited: a request that reached the API and is neither in the log nor
//     declared.
//
// All three are to be zero. Every fault prints one line with its figures, and
// appends it to the file that AGENTIDP_FAULTS_REPORT names. AGENTIDP_FAULTS=full
// runs the long forms.
package faults
