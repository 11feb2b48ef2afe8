// Package faults breaks a running IdP in every way its authors could think of
// and holds what it told its clients against what is there afterwards. It has
// tests only.
//
// A load generator keeps a ledger of what it was told. After the fault the IdP
// is started again, asked, stopped, and its store is read with plain SQL:
//
//   - lost: a client was told yes, and the effect or its event is not there;
//   - phantom: a client was told no, and the effect or the event is there, or
//     one request had its effect twice. A cut connection tells nothing: either
//     outcome is right, if effect and event agree;
//   - unaudited: an effect without its event, an event without its effect, or a
//     token in a client's hands without its event.
//
// All three are to be zero, and the audit log is to verify. Every fault prints
// one line with its figures, and appends it to the file that
// AGENTIDP_FAULTS_REPORT names. AGENTIDP_FAULTS=full runs the long forms.
package faults
