import { Construct } from 'constructs';
import * as cdktf from 'cdktf';
export interface DbThing2Config extends cdktf.TerraformMetaArguments {
  /**
  * Docs at Terraform Registry: {@link https://example.com/docs/resources/db_thing_2#name DbThing2#name}
  */
  readonly name: string;
  /**
  * network block
  *
  * Docs at Terraform Registry: {@link https://example.com/docs/resources/db_thing_2#network DbThing2#network}
  */
  readonly network: DbThing2Network;
  /**
  * rule block
  *
  * Docs at Terraform Registry: {@link https://example.com/docs/resources/db_thing_2#rule DbThing2#rule}
  */
  readonly rule?: DbThing2Rule[] | cdktf.IResolvable;
  /**
  * timeouts block
  *
  * Docs at Terraform Registry: {@link https://example.com/docs/resources/db_thing_2#timeouts DbThing2#timeouts}
  */
  readonly timeouts?: DbThing2Timeouts;
}
export interface DbThing2NetworkAddress {
}
export class DbThing2NetworkOutputReference extends cdktf.ComplexObject {
  public constructor(terraformResource: cdktf.IInterpolatingParent, terraformAttribute: string) {
    super(terraformResource, terraformAttribute, false, 0);
  }

  // ports - computed: false, optional: true, required: false
  private _ports?: number[]; 
  public get ports() {
    return cdktf.Token.asNumberList(cdktf.Fn.tolist(this.getNumberListAttribute('ports')));
  }
}
export class DbThing2RuleOutputReference extends cdktf.ComplexObject {
  public constructor(terraformResource: cdktf.IInterpolatingParent, terraformAttribute: string, complexObjectIndex: number, complexObjectIsFromSet: boolean) {
    super(terraformResource, terraformAttribute, complexObjectIsFromSet, complexObjectIndex);
  }

  // allow - computed: false, optional: false, required: true
  private _allow?: boolean | cdktf.IResolvable; 
  public get allow() {
    return this.getBooleanAttribute('allow');
  }
}
export class DbThing2RuleList extends cdktf.ComplexList {
  public get(index: number): DbThing2RuleOutputReference {
    return new DbThing2RuleOutputReference(this.terraformResource, this.terraformAttribute, index, this.wrapsSet);
  }
}
export class DbThing2TimeoutsOutputReference extends cdktf.ComplexObject {
  public constructor(terraformResource: cdktf.IInterpolatingParent, terraformAttribute: string) {
    super(terraformResource, terraformAttribute, false);
  }

  // create - computed: false, optional: true, required: false
  private _create?: string; 
  public get create() {
    return this.getStringAttribute('create');
  }
}
export class DbThing2 extends cdktf.TerraformResource {
  public static readonly tfResourceType = "aws_db_thing_2";
  public constructor(scope: Construct, id: string, config: DbThing2Config) {
    super(scope, id, {
      terraformGeneratorMetadata: {
        providerVersion: '6.1.2',
      },
    });
  }

  // all_tags - computed: true, optional: false, required: false
  private _allTags = new cdktf.StringMap(this, "all_tags");
  public get allTags() {
    return this._allTags;
  }

  // grant - computed: true, optional: true, required: false
  private _grant = new DbThing2RuleList(this, "grant", true);
  public get grant() {
    return this._grant;
  }

  // name - computed: false, optional: false, required: true
  private _name?: string; 
  public get name() {
    return this.getStringAttribute('name');
  }

  // zone - computed: true, optional: true, required: false
  private _zone?: string; 
  public get zone() {
    return this.getStringAttribute('zone');
  }

  // network - computed: false, optional: false, required: true
  private _network = new DbThing2NetworkOutputReference(this, "network");
  public get network() {
    return this._network;
  }

  // rule - computed: false, optional: true, required: false
  private _rule = new DbThing2RuleList(this, "rule", false);
  public get rule() {
    return this._rule;
  }

  // timeouts - computed: false, optional: true, required: false
  private _timeouts = new DbThing2TimeoutsOutputReference(this, "timeouts");
  public get timeouts() {
    return this._timeouts;
  }
}
