import { HostKeyRequest, HostKeyResponse } from './host-keys.ts';
import {
  AcceptRequest,
  AcceptResponse,
  CloseRequest,
  CredentialsRequest,
  CredentialsResponse,
  LogsResponse,
  PollRequest,
  PollResponse,
  ProblemMessage,
  RegisterRequest,
  RegisterResponse,
  ReportsRequest,
  ReportsResponse,
  SessionRequest,
  SessionResponse,
} from './messages.ts';
import { RecoveryRequest, RecoveryResponse } from './recovery.ts';

/** Every message of the runner protocol that is JSON, by its name: what frozen/ holds the current schemas to. */
export const wireMessages: Readonly<Record<string, object>> = {
  ProblemMessage,
  RegisterRequest,
  RegisterResponse,
  SessionRequest,
  SessionResponse,
  PollRequest,
  PollResponse,
  AcceptRequest,
  AcceptResponse,
  ReportsRequest,
  ReportsResponse,
  LogsResponse,
  CredentialsRequest,
  CredentialsResponse,
  HostKeyRequest,
  HostKeyResponse,
  RecoveryRequest,
  RecoveryResponse,
  CloseRequest,
};
