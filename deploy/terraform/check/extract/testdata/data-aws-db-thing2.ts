import { Construct } from 'constructs';
import * as cdktf from 'cdktf';
export class DataAwsDbThing2 extends cdktf.TerraformDataSource {
  public static readonly tfResourceType = "aws_db_thing_2";

  // size - computed: true, optional: false, required: false
  public get size() {
    return this.getNumberAttribute('size');
  }
}
