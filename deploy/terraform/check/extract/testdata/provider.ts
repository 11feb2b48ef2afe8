import { Construct } from 'constructs';
import * as cdktf from 'cdktf';
export interface AwsProviderTags {
  /**
  * Docs at Terraform Registry: {@link https://example.com/docs#tags AwsProvider#tags}
  */
  readonly tags?: { [key: string]: string };
}
export interface AwsProviderConfig {
  /**
  * default_tags block
  *
  * Docs at Terraform Registry: {@link https://example.com/docs#default_tags AwsProvider#default_tags}
  */
  readonly defaultTags?: AwsProviderTags[] | cdktf.IResolvable;
}
export class AwsProvider extends cdktf.TerraformProvider {
  public static readonly tfResourceType = "aws";
  public constructor(scope: Construct, id: string, config: AwsProviderConfig = {}) {
    super(scope, id, {
      terraformGeneratorMetadata: {
        providerVersion: '6.1.2',
      },
    });
  }

  // region - computed: false, optional: true, required: false
  private _region?: string; 
  public get region() {
    return this._region;
  }

  // default_tags - computed: false, optional: true, required: false
  private _defaultTags?: AwsProviderTags[] | cdktf.IResolvable; 
  public get defaultTags() {
    return this._defaultTags;
  }
}
