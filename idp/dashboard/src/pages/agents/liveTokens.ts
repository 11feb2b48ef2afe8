import { useQuery } from "@tanstack/react-query";
import { bounds, type Preview, previewQuery } from "../../api/preview";
import { useCan } from "../../session/useSession";

type Subject = { type: "agent" | "credential"; id: string };

export const bounded = ({ liveTokens, bound }: Pick<Preview, "liveTokens" | "bound">): string =>
  `${bounds[bound]}${liveTokens}`;

// useLiveTokens counts the tokens that die with an agent or a credential;
// undefined while that is not known, or not to be seen.
export function useLiveTokens(type: Subject["type"], id: string): string | undefined {
  const enabled = useCan("revocations:write");
  const { data } = useQuery({ ...previewQuery(type, id), enabled });
  return data && bounded(data);
}
